//! Articles, comments on them, and both with what the other side adds; bytes as in `RelationalSmokeTest` of Kafka.

use bytes::BufMut;
use kafka_streams::prelude::{DefaultSerde, Serde, SerdeError};

use super::wire::{Fields, put_text};

/// A text that can be commented on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// Its key.
    pub key: i32,
    /// When it was written, in ms since 1970.
    pub timestamp: i64,
    /// What it says.
    pub text: String,
}

/// A text about an article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its key.
    pub key: i32,
    /// When it was written, in ms since 1970.
    pub timestamp: i64,
    /// What it says.
    pub text: String,
    /// The key of the article.
    pub article_id: i32,
}

/// An article with the number of its comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AugmentedArticle {
    /// The article.
    pub article: Article,
    /// How many comments refer to it.
    pub comment_count: i64,
}

/// A comment with the beginning of its article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AugmentedComment {
    /// The comment.
    pub comment: Comment,
    /// The first characters of the article's text.
    pub article_prefix: String,
}

/// A value made of fields, one after the other.
trait Wire: Sized + 'static {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SerdeError>;
    fn read(fields: &mut Fields<'_>) -> Result<Self, SerdeError>;
}

impl Wire for Article {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.put_i32(self.key);
        out.put_i64(self.timestamp);
        put_text(out, &self.text)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, SerdeError> {
        Ok(Article { key: fields.i32()?, timestamp: fields.i64()?, text: fields.text()? })
    }
}

impl Wire for Comment {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        out.put_i32(self.key);
        out.put_i64(self.timestamp);
        put_text(out, &self.text)?;
        out.put_i32(self.article_id);
        Ok(())
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, SerdeError> {
        let (key, timestamp, text) = (fields.i32()?, fields.i64()?, fields.text()?);
        Ok(Comment { key, timestamp, text, article_id: fields.i32()? })
    }
}

impl Wire for AugmentedArticle {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.article.write(out)?;
        out.put_i64(self.comment_count);
        Ok(())
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, SerdeError> {
        Ok(AugmentedArticle { article: Article::read(fields)?, comment_count: fields.i64()? })
    }
}

impl Wire for AugmentedComment {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), SerdeError> {
        self.comment.write(out)?;
        put_text(out, &self.article_prefix)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, SerdeError> {
        Ok(AugmentedComment { comment: Comment::read(fields)?, article_prefix: fields.text()? })
    }
}

/// The serde of this module's types.
#[derive(Clone, Copy, Debug)]
pub struct WireSerde<T>(std::marker::PhantomData<fn() -> T>);

impl<T> Default for WireSerde<T> {
    fn default() -> Self {
        WireSerde(std::marker::PhantomData)
    }
}

macro_rules! wire_serde {
    ($($value:ty),+) => {$(
        impl Serde for WireSerde<$value> {
            type Target = $value;

            fn serialize(&self, _topic: &str, value: &$value, out: &mut Vec<u8>) -> Result<(), SerdeError> {
                value.write(out)
            }

            fn deserialize(&self, _topic: &str, bytes: &[u8]) -> Result<$value, SerdeError> {
                <$value>::read(&mut Fields(bytes))
            }
        }

        impl DefaultSerde for $value {
            type Serde = WireSerde<$value>;
        }
    )+};
}

wire_serde!(Article, Comment, AugmentedArticle, AugmentedComment);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_as_it_was_written() {
        let comment = Comment { key: 7, timestamp: -3, text: "näh".to_owned(), article_id: 12 };
        let value = AugmentedComment { comment, article_prefix: "begin".to_owned() };
        let mut bytes = Vec::new();
        WireSerde::<AugmentedComment>::default().serialize("", &value, &mut bytes).unwrap();
        assert_eq!(WireSerde::<AugmentedComment>::default().deserialize("", &bytes).unwrap(), value);
        for cut in 0..bytes.len() {
            assert!(WireSerde::<AugmentedComment>::default().deserialize("", &bytes[..cut]).is_err());
        }
    }

    #[test]
    fn the_bytes_of_an_article_are_kafkas() {
        let article = Article { key: 1, timestamp: 2, text: "ab".to_owned() };
        let mut bytes = Vec::new();
        WireSerde::<Article>::default().serialize("", &article, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, b'a', b'b']);
    }
}
