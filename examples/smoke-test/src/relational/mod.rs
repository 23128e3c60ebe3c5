//! The topology of Kafka's `RelationalSmokeTest`: comments joined with their articles by foreign key, and articles with the number of their comments.

pub mod model;
mod wire;

use kafka_streams::prelude::*;
use model::{Article, AugmentedArticle, AugmentedComment, Comment};

/// Characters of an article that go into each of its comments.
const PREFIX: usize = 10;

/// The topology, with the JVM's names.
///
/// # Errors
/// A mistake in the topology.
pub fn topology() -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::with_naming(Naming::Jvm);
    let articles = builder.table::<i32, Article>("in-article");
    let comments = builder.table::<i32, Comment>("in-comment");

    let comment_counts =
        comments.group_by(|_, comment| (comment.article_id, 1_i16), Grouped::default()).count(Materialized::default());

    articles
        .left_join_with(
            &comment_counts,
            |article, count| AugmentedArticle { article, comment_count: count.unwrap_or(0) },
            Materialized::default(),
        )
        .to_stream()
        .to("out-augmented-article");

    comments
        .join_foreign_key(
            &articles,
            |_, comment| comment.article_id,
            |comment, article| AugmentedComment {
                comment,
                article_prefix: article.text.chars().take(PREFIX).collect(),
            },
        )
        .to_stream()
        .to("out-augmented-comment");
    builder.build()
}
