-- The tables of the sample application and of the load, in the database desk.
set role desk;

create table tickets (
    id text primary key,
    title text not null,
    host text not null,
    attachment text,
    created_at timestamptz not null default clock_timestamp()
);
-- Every GET reads the newest: without it the application slows down with each ticket.
create index on tickets (created_at desc);

-- Every POST of an id that is there already: whoever runs a request twice is seen here.
create table ticket_repeats (
    id text not null,
    host text not null,
    at timestamptz not null default clock_timestamp()
);

create table scheduler_runs (
    at timestamptz not null default clock_timestamp(),
    host text not null
);

-- Not unique on purpose: a write that was done twice shall be found, not refused.
create table load_rows (
    id text not null,
    at timestamptz not null default clock_timestamp()
);
create index on load_rows (id);
