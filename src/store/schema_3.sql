-- volume.db, version 3: whether a checkpoint's filesystem is as after a loss of power: it was made while nothing held back
-- writes, and its journal is to be replayed.
alter table checkpoint add column crash_consistent integer not null default 0;
