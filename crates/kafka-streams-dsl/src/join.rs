//! Joins, one file for each pair of sides.

mod foreign_key;
mod stream_global_table;
mod stream_stream;
mod stream_table;
mod table_table;
