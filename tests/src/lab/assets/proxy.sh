# Provisions the proxy: HAProxy as Debian's unit, its sockets open to the group haproxy; and a
# PgBouncer that waits to be started. Argument: the password of the role desk.
desk_password=$1
usermod --append --groups haproxy ha-observer
mkdir -p /etc/systemd/system/haproxy.service.d
cat >/etc/systemd/system/haproxy.service.d/master-socket.conf <<'END'
[Service]
Environment="EXTRAOPTS=-S /run/haproxy-master.sock,mode,660,group,haproxy"
END
systemctl daemon-reload
haproxy -c -q -f /etc/haproxy/haproxy.cfg
systemctl enable --quiet haproxy.service

cat >/etc/pgbouncer/pg_hba.conf <<'END'
local  pgbouncer  ha-observer                peer
host   desk       desk         10.80.0.0/24  scram-sha-256
END
cat >/etc/pgbouncer/userlist.txt <<END
"desk" "$desk_password"
"ha-observer" ""
END
chown -R postgres: /etc/pgbouncer
chmod 640 /etc/pgbouncer/*
