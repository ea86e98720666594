# Provisions the proxy: HAProxy as Debian's unit, its sockets open to the group haproxy.
usermod --append --groups haproxy ha-observer
mkdir -p /etc/systemd/system/haproxy.service.d
cat >/etc/systemd/system/haproxy.service.d/master-socket.conf <<'END'
[Service]
Environment="EXTRAOPTS=-S /run/haproxy-master.sock,mode,660,group,haproxy"
END
systemctl daemon-reload
haproxy -c -q -f /etc/haproxy/haproxy.cfg
systemctl enable --quiet haproxy.service
