# Makes the databases and roles, on the node that starts as master.
desk_password=$1 replication_password=$2
systemctl start postgresql@15-main.service
runuser -u postgres -- psql -Xq -v ON_ERROR_STOP=1 -d template1 <<END
create role replicator login replication password '$replication_password';
create role desk login password '$desk_password';
-- Only a replication role may make and drop slots. pg_hba.conf lets it replicate nothing: the word
-- `all` in its lines does not mean replication.
create role ha_observer login replication;
-- pg_rewind compares by the last checkpoint, so the new master's must be of its own timeline.
grant pg_monitor, pg_checkpoint to ha_observer;
-- A right on a function is a right in one database: new ones inherit it from the template.
grant execute on function pg_promote(boolean, integer) to ha_observer;
create database desk owner desk;
create database ha_observer owner ha_observer;
\connect postgres
grant execute on function pg_promote(boolean, integer) to ha_observer;
-- What pg_rewind reads the master's files with, in the database it enters.
grant execute on function pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean),
    pg_read_binary_file(text), pg_read_binary_file(text, bigint, bigint, boolean) to replicator;
END
