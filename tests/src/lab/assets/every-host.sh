# Provisions what every host has. Arguments: the host's name, the observer's public key.
host=$1 public_key=$2

useradd --system --create-home --home-dir /var/lib/ha-observer --shell /bin/sh ha-observer
# No password, and yet not locked: sshd lets no locked account in.
usermod --password '*' ha-observer
install -d -m 700 -o ha-observer -g ha-observer /var/lib/ha-observer/.ssh
printf '%s\n' "$public_key" >/var/lib/ha-observer/.ssh/authorized_keys
chown ha-observer: /var/lib/ha-observer/.ssh/authorized_keys
chmod 600 /var/lib/ha-observer/.ssh/authorized_keys

ssh-keygen -q -t ed25519 -N '' -C "root@$host" -f /etc/ssh/ssh_host_ed25519_key
cat >/etc/ssh/sshd_config.d/lab.conf <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
END

# The observer's daemon runs in one machine only, but its program may be looked at in all.
ln -s /opt/ha-observer/bin/ha-observer /usr/bin/ha-observer

# What a machine said before it died can be read after its next boot.
mkdir -p /var/log/journal

# A service that does not end when it is told is killed after this; by default it has 90 s, which is
# longer than a scenario waits for a machine to shut down.
mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >/etc/systemd/system.conf.d/lab.conf
