-- volume.db, version 1. A change of this schema is a new file with the statements that lead to it, never an edit here.

-- The one volume of this database.
create table volume (
  id integer primary key check (id = 1),
  size_bytes integer not null,
  top integer not null references layer(number)
);

-- The volume's layers; each lies over its parent. The one without an id is the image: layers/<number>.img without states.
create table layer (
  number integer primary key,
  parent integer references layer(number),
  id blob
);

-- What others keep beside the disk: the sprite's own description as JSON, for one.
create table record (
  name text primary key,
  value text not null
) without rowid;
