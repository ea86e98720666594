# Clones the master, on the node that starts as slave.
data=/var/lib/postgresql/15/main
rm -rf $data
runuser -u postgres -- pg_basebackup --pgdata $data --write-recovery-conf --checkpoint fast \
    --create-slot --slot node_b --no-password \
    --dbname 'host=10.80.0.11 user=replicator application_name=node-b'
systemctl start postgresql@15-main.service
