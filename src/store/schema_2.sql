-- volume.db, version 2: a checkpoint's number among its kind, by which people know it ("v3"): those that a restore makes
-- by itself do not use up the others' numbers.
alter table checkpoint add column ordinal integer not null default 0;
update checkpoint set ordinal = number;
alter table volume add column next_made integer not null default 0;
alter table volume add column next_automatic integer not null default 0;
update volume set next_made = next_checkpoint, next_automatic = next_checkpoint;
