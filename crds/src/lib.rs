//! Custom resources of the metal stack: types, schemas, names. No client, no async.
