"""What every room uses: errors, parameters, paths, schemas, tables, files and images. Imports no other room."""
