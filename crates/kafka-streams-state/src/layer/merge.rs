//! One view of two layers: what the upper one says of a key hides what the lower one says.

use std::cmp::Ordering;

use crate::{Order, StoreError};

/// Calls `visit` with the rows of both layers in `order` until it returns false.
///
/// `upper` yields sorted rows, `None` for a deleted one; `lower` is a scan of the same range in the same order.
pub(crate) fn merge<'u>(
    upper: &mut dyn Iterator<Item = (&'u [u8], Option<&'u [u8]>)>,
    order: Order,
    lower: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError>,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), StoreError> {
    let mut next = upper.next();
    let mut more = true;
    lower(&mut |key, value| {
        while let Some((upper_key, upper_value)) = next {
            let side = match order {
                Order::Ascending => upper_key.cmp(key),
                Order::Descending => key.cmp(upper_key),
            };
            if side == Ordering::Greater {
                break;
            }
            next = upper.next();
            more = upper_value.is_none_or(|value| visit(upper_key, value));
            if !more || side == Ordering::Equal {
                return more;
            }
        }
        more = visit(key, value);
        more
    })?;
    while more && let Some((key, value)) = next {
        more = value.is_none_or(|value| visit(key, value));
        next = upper.next();
    }
    Ok(())
}
