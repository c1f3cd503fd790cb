"""The ground: errors, parameters, paths, schemas, tables, files, images. Imports no other room."""
