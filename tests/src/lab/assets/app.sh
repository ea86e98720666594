# Provisions a host that runs the application and keeps no database: that of node-a is its own.
# Argument: the password of the role desk.
desk_password=$1

useradd --system --no-create-home --home-dir /var/lib/desk --shell /usr/sbin/nologin desk
install -d -m 755 -o desk -g desk /var/lib/desk /var/lib/desk/attachments
install -d -m 755 /etc/desk
cat >/etc/desk/desk.conf <<CONF
database = "host=10.80.0.11 port=5432 dbname=desk user=desk password=$desk_password"
attachments = "/var/lib/desk/attachments"
CONF
chown root:desk /etc/desk/desk.conf
chmod 640 /etc/desk/desk.conf
systemctl daemon-reload
