//! Files that are right and files that are wrong.
