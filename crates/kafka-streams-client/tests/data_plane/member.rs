//! A live member of a group, just enough of one for transactions to be fenced by it.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    ApiKey, GroupId, JoinGroupRequest, JoinGroupResponse, RequestHeader, ResponseHeader, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_streams_group::GroupMember;

/// Joins as the only member, once more for each generation.
pub(crate) struct LiveMember {
    connection: TcpStream,
    group: String,
    member_id: StrBytes,
}

impl LiveMember {
    pub(crate) fn new(bootstrap: &str, group: &str) -> Self {
        let connection = TcpStream::connect(bootstrap).unwrap();
        LiveMember { connection, group: group.to_owned(), member_id: StrBytes::default() }
    }

    /// A new generation; the group is stable afterwards.
    pub(crate) fn join(&mut self) -> GroupMember {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("stream"))
            .with_metadata(Bytes::from_static(b"\0"));
        let join = JoinGroupRequest::default()
            .with_group_id(GroupId(self.group.clone().into()))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(30_000)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        let joined: JoinGroupResponse = self.call(ApiKey::JoinGroup, 3, &join);
        assert_eq!(joined.error_code, 0);
        self.member_id = joined.member_id.clone();
        let sync = SyncGroupRequest::default()
            .with_group_id(GroupId(self.group.clone().into()))
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone());
        let synced: SyncGroupResponse = self.call(ApiKey::SyncGroup, 2, &sync);
        assert_eq!(synced.error_code, 0);
        GroupMember::new(self.group.as_str(), &*joined.member_id, joined.generation_id, None).unwrap()
    }

    fn call<Response: Decodable>(&mut self, key: ApiKey, version: i16, request: &impl Encodable) -> Response {
        let mut body = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(1)
            .with_client_id(Some(StrBytes::from_static_str("test")));
        header.encode(&mut body, 1).unwrap();
        request.encode(&mut body, version).unwrap();
        let mut frame = BytesMut::new();
        frame.put_i32(body.len() as i32);
        frame.put(body);
        self.connection.write_all(&frame).unwrap();
        let mut size = [0; 4];
        self.connection.read_exact(&mut size).unwrap();
        let mut answer = vec![0; i32::from_be_bytes(size) as usize];
        self.connection.read_exact(&mut answer).unwrap();
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, 0).unwrap();
        let response = Response::decode(&mut answer, version).unwrap();
        assert!(!answer.has_remaining());
        response
    }
}
