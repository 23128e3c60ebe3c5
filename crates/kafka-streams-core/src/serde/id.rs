//! The id of a serde that has none of its own, made from the name of its type.

/// `custom:` and the name without the modules: `custom:OrderSerde<String>` of `shop::OrderSerde<alloc::string::String>`.
/// A type that moves to another module keeps its id.
pub(super) fn of_type_name(type_name: &str) -> String {
    let mut id = String::from("custom:");
    let mut segment_start = id.len();
    let mut rest = type_name.chars().peekable();
    while let Some(character) = rest.next() {
        if character == ':' && rest.peek() == Some(&':') {
            rest.next();
            id.truncate(segment_start);
            continue;
        }
        id.push(character);
        if !character.is_alphanumeric() && character != '_' {
            segment_start = id.len();
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::of_type_name;

    #[test]
    fn modules_are_left_out_of_the_type_and_its_parameters() {
        for (name, id) in [
            ("OrderSerde", "custom:OrderSerde"),
            ("shop::serdes::OrderSerde", "custom:OrderSerde"),
            ("shop::Wrapped<alloc::string::String, [u8; 4]>", "custom:Wrapped<String, [u8; 4]>"),
            ("a::Pair<(b::C, &d::E)>", "custom:Pair<(C, &E)>"),
        ] {
            assert_eq!(of_type_name(name), id);
        }
    }
}
