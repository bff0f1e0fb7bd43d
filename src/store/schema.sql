-- volume.db, version 1. A change of this schema is a new file with the statements that lead to it, never an edit here.

-- The one volume of this database.
create table volume (
  id integer primary key check (id = 1),
  size_bytes integer not null,
  top integer not null references layer(number) deferrable initially deferred,
  next_layer integer not null,
  next_checkpoint integer not null
);

-- The volume's layers; each lies over its parent. Layer 0 has neither id nor parent: the image, layers/0.img.
-- local: its files exist, and hold what changed since layer local_below (a forefather; the parent, unless layers were folded).
-- root: where the packed form is (FORMAT.md), once it is sealed. A layer has files or a root or both.
create table layer (
  number integer primary key,
  parent integer references layer(number) deferrable initially deferred,
  id blob,
  local integer not null,
  local_below integer,
  root blob
);

create table checkpoint (
  number integer primary key,
  layer integer not null references layer(number),
  automatic integer not null,
  comment text not null,
  created_at text not null
);
create index checkpoint_layer on checkpoint(layer);
create index layer_parent on layer(parent);

-- What others keep beside the disk: the sprite's own description as JSON, for one.
create table record (
  name text primary key,
  value text not null
) without rowid;
