//! Joins, one file for each pair of sides.

mod stream_stream;
mod stream_table;
mod table_table;
