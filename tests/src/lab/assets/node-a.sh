# Makes the databases and roles, on the node that starts as master.
desk_password=$1 replication_password=$2
systemctl start postgresql@15-main.service
runuser -u postgres -- psql -Xq -v ON_ERROR_STOP=1 -d template1 <<END
create role replicator login replication password '$replication_password';
create role desk login password '$desk_password';
create role ha_observer login;
grant pg_monitor to ha_observer;
-- A right on a function is a right in one database: new ones inherit it from the template.
grant execute on function pg_promote(boolean, integer) to ha_observer;
create database desk owner desk;
create database ha_observer owner ha_observer;
\connect postgres
grant execute on function pg_promote(boolean, integer) to ha_observer;
END
