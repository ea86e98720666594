# Provisions what both nodes have. Arguments: the passwords of the roles desk and replicator.
desk_password=$1 replication_password=$2
etc=/etc/postgresql/15/main

cat >$etc/conf.d/lab.conf <<END
listen_addresses = '*'
cluster_name = '$(hostname)'
max_wal_senders = 10
max_replication_slots = 10
wal_keep_size = 256MB
wal_log_hints = on
hot_standby = on
# A slave that boots beside its master would otherwise wait 5 s after its first refusal.
wal_retrieve_retry_interval = 500ms
END

# Over TCP the observer's role is asked for a password it does not have: that is enough for an
# unauthenticated look at whether the server is up, and it leaves no line in the log.
cat >$etc/pg_hba.conf <<'END'
# TYPE  DATABASE     USER         ADDRESS        METHOD
local   all          postgres                    peer
local   all          ha_observer                 peer map=observer
local   all          all                         peer
host    all          ha_observer  10.80.0.0/24   scram-sha-256
host    desk         desk         10.80.0.0/24   scram-sha-256
host    desk         desk         127.0.0.1/32   scram-sha-256
host    replication  replicator   10.80.0.0/24   scram-sha-256
# pg_rewind reads the master's files over an ordinary session.
host    postgres     replicator   10.80.0.0/24   scram-sha-256
END
cat >$etc/pg_ident.conf <<'END'
# MAPNAME  SYSTEM-USERNAME  PG-USERNAME
observer   ha-observer      ha_observer
END

# Either node replicates from the other after a change of roles.
umask 077
cat >/var/lib/postgresql/.pgpass <<END
10.80.0.11:5432:*:replicator:$replication_password
10.80.0.12:5432:*:replicator:$replication_password
END
chown postgres: /var/lib/postgresql/.pgpass

useradd --system --no-create-home --home-dir /var/lib/desk --shell /usr/sbin/nologin desk
install -d -m 755 -o desk -g desk /var/lib/desk /var/lib/desk/attachments
install -d -m 755 /etc/desk
cat >/etc/desk/desk.conf <<END
database = "host=127.0.0.1 port=5432 dbname=desk user=desk password=$desk_password"
attachments = "/var/lib/desk/attachments"
END
chown root:desk /etc/desk/desk.conf
chmod 640 /etc/desk/desk.conf
systemctl daemon-reload
