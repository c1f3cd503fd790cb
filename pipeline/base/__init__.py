"""What every room uses: errors, parameters, paths, schemas, tables, files, images. Imports no other room."""
