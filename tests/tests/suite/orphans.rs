//! Topics that an earlier version has left: told by a running application, once, and by `cargo xtask orphans`, with the
//! right to describe topics only.

use std::path::{Path, PathBuf};

use kafka_streams::prelude::*;
use kafka_streams_golden::Golden;
use kafka_streams_tests::{Broker, BrokerFile, Jvm, in_process};

/// Two applications, whose ids begin alike; the first has renamed its store.
struct Renamed {
    broker: Broker,
    input: String,
    id: String,
    dir: tempfile::TempDir,
}

/// Counts lines by their text, in a store of this name.
fn counting(input: &str, store: &str) -> Result<Topology, TopologyError> {
    let builder = StreamsBuilder::new();
    let lines = builder.stream::<Option<String>, String>(input);
    lines.group_by(|_, line| line.clone(), Grouped::named("by-line")).count(Materialized::named(store));
    builder.build()
}

impl Renamed {
    async fn new() -> anyhow::Result<Option<Renamed>> {
        let Some(broker) = Broker::get() else { return Ok(None) };
        let (input, id) = (broker.unique("lines"), broker.unique("my-app"));
        broker.create_topic(&input, 2).await?;
        let renamed = Renamed { broker, input, id, dir: tempfile::tempdir()? };
        renamed.broker.write_lines(&renamed.input, ["a", "b", "c", "d"])?;
        for (id, store) in [(renamed.id.clone(), "before"), (renamed.other(), "counts")] {
            let streams = renamed.start(&id, store, &format!("{id}-{store}"))?;
            in_process::until_running(&streams).await?;
            in_process::close(&streams)?;
        }
        Ok(Some(renamed))
    }

    /// The id of the other application.
    fn other(&self) -> String {
        format!("{}-2", self.id)
    }

    fn start(&self, id: &str, store: &str, dir: &str) -> anyhow::Result<KafkaStreams> {
        let config = in_process::config(&self.broker, id, &self.dir.path().join(dir));
        let streams = KafkaStreams::new(counting(&self.input, store)?, config)?;
        streams.start()?;
        Ok(streams)
    }

    fn left(&self) -> String {
        format!("{}-before-changelog", self.id)
    }

    /// The other application's changelog, which might be one of `2-counts`.
    fn doubtful(&self) -> String {
        format!("{}-counts-changelog", self.other())
    }

    /// Exit code and output of `orphans` with these options, for the version with the new name.
    fn orphans(&self, options: &[&str]) -> anyhow::Result<(u8, String)> {
        let input = self.input.clone();
        let golden = Golden::new(self.dir.path()).topology("lines", move || counting(&input, "after"));
        let mut output = Vec::new();
        let code = golden.run([&["orphans"], options].concat(), &mut output)?;
        Ok((code, String::from_utf8(output)?))
    }

    fn write_file(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

#[tokio::test]
async fn a_renamed_stores_changelog_is_told_once_while_instances_come_and_go() -> anyhow::Result<()> {
    let Some(renamed) = Renamed::new().await? else { return Ok(()) };
    let (left, doubtful) = (renamed.left(), renamed.doubtful());
    let told = |topic: &str| in_process::warnings(&["a topic is left over", "never deleted", topic]);
    let first = renamed.start(&renamed.id, "after", "first")?;
    in_process::until_running(&first).await?;
    renamed.broker.wait_until(|| Ok(told(&left) > 0), "the topic is told")?;
    let second = renamed.start(&renamed.id, "after", "second")?;
    in_process::until_running(&second).await?;
    in_process::close(&second)?;
    in_process::until_running(&first).await?;
    anyhow::ensure!(told(&left) == 1, "told {} times", told(&left));
    let doubt = in_process::warnings(&[&doubtful, "or it belongs to another application"]);
    anyhow::ensure!(doubt == 1, "the other application's topic is told {doubt} times with doubt");
    for needed in ["after-changelog", "by-line-repartition"] {
        anyhow::ensure!(told(&format!("{}-{needed}", renamed.id)) == 0, "{needed} is needed");
    }
    in_process::close(&first)?;
    drop(first);

    // A new life looks again; nothing was deleted meanwhile.
    let again = renamed.start(&renamed.id, "after", "first")?;
    renamed.broker.wait_until(|| Ok(told(&left) == 2), "the topic is told again after a restart")?;
    in_process::close(&again)?;
    let topics = renamed.broker.topics()?;
    anyhow::ensure!(topics.contains(&left) && topics.contains(&doubtful), "a topic is gone");
    Ok(())
}

#[tokio::test]
async fn the_command_tells_what_no_version_needs() -> anyhow::Result<()> {
    let Some(renamed) = Renamed::new().await? else { return Ok(()) };
    let (left, doubtful, other) = (renamed.left(), renamed.doubtful(), renamed.other());
    let asked = ["--bootstrap", &renamed.broker.bootstrap, "--application-id", &renamed.id];
    let orphans = |more: &[&str]| renamed.orphans(&[&asked, more].concat());

    let (code, text) = orphans(&[])?;
    anyhow::ensure!(code == 2 && text.contains(&format!("{left}: the changelog of store before")), "{code}: {text}");
    anyhow::ensure!(text.contains(&doubtful) && text.contains("nothing was deleted"), "{text}");
    let (code, text) = orphans(&["--other-application", &other])?;
    anyhow::ensure!(code == 2 && text.contains(&left) && !text.contains(&doubtful), "{code}: {text}");
    let before = renamed.write_file("before.json", &counting(&renamed.input, "before")?.to_manifest().to_json())?;
    let (code, text) = orphans(&["--other-application", &other, "--also-running", path(&before)?])?;
    anyhow::ensure!(code == 0 && text.starts_with("no topic"), "{code}: {text}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let error = renamed.orphans(&["--bootstrap", &closed, "--application-id", &renamed.id]).unwrap_err().to_string();
    anyhow::ensure!(error.contains(&format!("cannot ask the cluster at {closed}")), "{error}");

    // A wrong id finds nothing, which is no good news.
    let (code, text) = renamed.orphans(&["--bootstrap", asked[1], "--application-id", "nobodys-app"])?;
    anyhow::ensure!(code == 0 && text.contains("is the application id right"), "{code}: {text}");
    Ok(())
}

#[tokio::test]
async fn the_right_to_describe_topics_is_enough() -> anyhow::Result<()> {
    let (Some(renamed), Some(file), Some(jvm)) = (Renamed::new().await?, BrokerFile::get()?, Jvm::get()) else {
        return Ok(());
    };
    let config = format!(
        "bootstrap.servers={}\napplication.id={}\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
         sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"nobody\" \
         password=\"{}\";\n",
        file.listener("sasl_plaintext")?,
        renamed.id,
        file.password("nobody")?
    );
    let config = renamed.write_file("nobody.properties", &config)?;
    let asked = ["--config", path(&config)?];
    let (code, text) = renamed.orphans(&asked)?;
    anyhow::ensure!(code == 0 && text.contains("may the user describe"), "{code}: {text}");
    let own = format!("{}-*", renamed.id);
    jvm.acl(&renamed.broker.bootstrap, "allow", "nobody", ("TOPIC", &own), &["DESCRIBE"])?;
    let mut last = String::new();
    let waited = renamed.broker.wait_until(
        || {
            let (code, text) = renamed.orphans(&asked)?;
            last = text;
            Ok(code == 2 && last.contains(&renamed.left()))
        },
        "the topic is told to who may describe it",
    );
    waited.map_err(|error| error.context(last))
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().ok_or_else(|| anyhow::anyhow!("{} is no text", path.display()))
}
