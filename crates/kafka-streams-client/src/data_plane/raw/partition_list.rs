//! A list of partitions with offsets.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use rdkafka::bindings::{self as rd, rd_kafka_topic_partition_list_t};

/// `rd_kafka_topic_partition_list_t`.
pub(in super::super) struct PartitionList(NonNull<rd_kafka_topic_partition_list_t>);

// SAFETY: a list is plain memory with one owner.
unsafe impl Send for PartitionList {}

impl PartitionList {
    /// An empty list with room for `size`; `None` if there is no memory.
    pub(in super::super) fn new(size: usize) -> Option<Self> {
        let size = c_int::try_from(size).unwrap_or(c_int::MAX);
        // SAFETY: no conditions.
        NonNull::new(unsafe { rd::rd_kafka_topic_partition_list_new(size) }).map(PartitionList)
    }

    /// A list of one.
    pub(in super::super) fn of(topic: &CStr, partition: i32, offset: i64) -> Option<Self> {
        let mut list = PartitionList::new(1)?;
        list.add(topic, partition, offset, -1, "");
        Some(list)
    }

    /// Appends a partition. A negative `leader_epoch` is none.
    pub(in super::super) fn add(
        &mut self,
        topic: &CStr,
        partition: i32,
        offset: i64,
        leader_epoch: i32,
        metadata: &str,
    ) {
        // SAFETY: the list is ours; `topic` is copied. The entry is valid until the list changes. Its metadata comes from
        // librdkafka's allocator, by which librdkafka frees it, and has the size that is told.
        unsafe {
            let entry = rd::rd_kafka_topic_partition_list_add(self.as_ptr(), topic.as_ptr(), partition);
            (*entry).offset = offset;
            if leader_epoch >= 0 {
                rd::rd_kafka_topic_partition_set_leader_epoch(entry, leader_epoch);
            }
            if !metadata.is_empty() {
                let copy = rd::rd_kafka_mem_malloc(std::ptr::null_mut(), metadata.len());
                if !copy.is_null() {
                    std::ptr::copy_nonoverlapping(metadata.as_ptr(), copy.cast(), metadata.len());
                    (*entry).metadata = copy;
                    (*entry).metadata_size = metadata.len();
                }
            }
        }
    }

    /// The first entry's offset; -1 for an empty list.
    pub(in super::super) fn first_offset(&self) -> i64 {
        // SAFETY: the list is ours; the first entry is only read if there is one.
        unsafe {
            let list = self.0.as_ref();
            if list.cnt > 0 { (*list.elems).offset } else { -1 }
        }
    }

    /// The pointer, valid as long as the list.
    pub(super) fn as_ptr(&self) -> *mut rd_kafka_topic_partition_list_t {
        self.0.as_ptr()
    }
}

impl Drop for PartitionList {
    fn drop(&mut self) {
        // SAFETY: the list is ours.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.as_ptr()) }
    }
}
