//! A group member as transactions want it.

use std::ffi::CStr;
use std::ptr::{self, NonNull};

use rdkafka::bindings::{self as rd, rd_kafka_consumer_group_metadata_t};

/// `rd_kafka_consumer_group_metadata_t`.
pub(in super::super) struct GroupMetadata(NonNull<rd_kafka_consumer_group_metadata_t>);

// SAFETY: it is plain memory with one owner.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    /// A member that librdkafka itself knows nothing of.
    pub(in super::super) fn new(group: &CStr, generation: i32, member: &CStr, instance: Option<&CStr>) -> Option<Self> {
        let instance = instance.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the texts end with a zero byte and are copied; the instance may be null.
        let metadata = unsafe {
            rd::rd_kafka_consumer_group_metadata_new_with_genid(group.as_ptr(), generation, member.as_ptr(), instance)
        };
        NonNull::new(metadata).map(GroupMetadata)
    }

    /// The pointer, valid as long as the metadata.
    pub(super) fn as_ptr(&self) -> *mut rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: it is ours.
        unsafe { rd::rd_kafka_consumer_group_metadata_destroy(self.as_ptr()) }
    }
}
