//! Joins, one file for each pair of sides.

mod stream_table;
