//! TLS and SASL, for both the data and the group plane, from one configuration; and secrets that stay secret.

use std::path::Path;

use kafka_streams_tests::{Broker, BrokerFile, Isolation, WordCount, reference};

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

fn jaas(module: &str, user: &str, password: &str) -> String {
    format!("{module} required username=\"{user}\" password=\"{password}\";")
}

/// Counts with these settings at this listener, and returns what was logged, to the last detail.
async fn counts(listener: &str, settings: &[(&str, &str)]) -> anyhow::Result<String> {
    let Some((broker, word_count, _dir)) = prepare(listener, settings).await? else { return Ok(String::new()) };
    let text = reference::text(20_000, 81);
    broker.write_lines(&word_count.input, text.iter().map(String::as_str))?;
    let program = word_count.start("one")?;
    if let Err(error) = word_count.expect_counts(&broker, &reference::count(text.iter().map(String::as_str))) {
        let log = program.own_log()?;
        anyhow::bail!("{error:#}; the log ends:\n{}", &log[log.floor_char_boundary(log.len().saturating_sub(5000))..]);
    }
    let log = program.own_log()?;
    anyhow::ensure!(program.stop()?.success());
    reference::counts_only_grow(&broker.read(&word_count.output, Isolation::ReadCommitted)?)?;
    Ok(log)
}

/// Starts with these settings at this listener; what the failing program logged, to the last detail.
async fn fails(listener: &str, settings: &[(&str, &str)]) -> anyhow::Result<String> {
    let Some((_, word_count, _dir)) = prepare(listener, settings).await? else { return Ok(String::new()) };
    word_count.start("one")?.failure()
}

async fn prepare(
    listener: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<Option<(Broker, WordCount, tempfile::TempDir)>> {
    let (Some(broker), Some(file)) = (Broker::get(), BrokerFile::get()?) else { return Ok(None) };
    let dir = tempfile::tempdir()?;
    let mut word_count = WordCount::new(&broker, dir.path(), 2, true).await?;
    word_count.bootstrap = file.listener(listener)?;
    word_count.env.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    for (key, value) in settings {
        word_count = word_count.with(key, value);
    }
    Ok(Some((broker, word_count, dir)))
}

/// The secret is not in the log of a program that told everything else.
fn keeps(log: &str, secret: &str) -> anyhow::Result<()> {
    let line = log.lines().find(|line| line.contains(secret));
    anyhow::ensure!(line.is_none(), "the secret is in the log: {line:?}");
    anyhow::ensure!(log.contains("TRACE") || log.contains("DEBUG"), "the log does not tell everything");
    Ok(())
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().ok_or_else(|| anyhow::anyhow!("{} is no text", path.display()))
}

#[tokio::test]
async fn plain_over_plaintext() -> anyhow::Result<()> {
    let Some(file) = BrokerFile::get()? else { return Ok(()) };
    let password = file.password("streams")?;
    let jaas = jaas(PLAIN, "streams", &password);
    let settings = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &jaas)];
    keeps(&counts("sasl_plaintext", &settings).await?, &password)
}

#[tokio::test]
async fn scram_sha_256_over_plaintext() -> anyhow::Result<()> {
    let Some(file) = BrokerFile::get()? else { return Ok(()) };
    let password = file.password("streams")?;
    let jaas = jaas(SCRAM, "streams", &password);
    let mechanism = ("sasl.mechanism", "SCRAM-SHA-256");
    let settings = [("security.protocol", "SASL_PLAINTEXT"), mechanism, ("sasl.jaas.config", &*jaas)];
    keeps(&counts("sasl_plaintext", &settings).await?, &password)
}

#[tokio::test]
async fn scram_sha_512_over_tls() -> anyhow::Result<()> {
    let Some(file) = BrokerFile::get()? else { return Ok(()) };
    let (password, ca) = (file.password("streams")?, file.pem("ca_pem")?);
    let jaas = jaas(SCRAM, "streams", &password);
    let settings = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", &jaas),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", path(&ca)?),
    ];
    let log = counts("sasl_ssl", &settings).await?;
    keeps(&log, &password)
}

#[tokio::test]
async fn a_client_certificate_over_tls() -> anyhow::Result<()> {
    let Some(file) = BrokerFile::get()? else { return Ok(()) };
    let (ca, dir) = (file.pem("ca_pem")?, tempfile::tempdir()?);
    let (certificate, key) = (file.pem("client_certificate_pem")?, file.pem("client_key_pem")?);
    let (certificate, key) = (std::fs::read_to_string(certificate)?, std::fs::read_to_string(key)?);
    let both = dir.path().join("client.pem");
    std::fs::write(&both, format!("{key}{certificate}"))?;
    let settings = [
        ("security.protocol", "SSL"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", path(&ca)?),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", path(&both)?),
    ];
    let log = counts("ssl", &settings).await?;
    let secret = key.lines().nth(1).unwrap_or_default();
    anyhow::ensure!(secret.len() > 40, "the key is not PEM");
    keeps(&log, secret)
}

#[tokio::test]
async fn a_wrong_password_is_a_clear_error_that_does_not_tell_it() -> anyhow::Result<()> {
    let Some(file) = BrokerFile::get()? else { return Ok(()) };
    let ca = file.pem("ca_pem")?;
    let canary = "canary-5Fq8-do-not-log";
    let plain = jaas(PLAIN, "streams", canary);
    let settings = [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &plain)];
    let log = fails("sasl_plaintext", &settings).await?;
    keeps(&log, canary)?;
    anyhow::ensure!(log.to_lowercase().contains("authentication"), "{log}");
    let scram = jaas(SCRAM, "streams", canary);
    let settings = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", &scram),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", path(&ca)?),
    ];
    let log = fails("sasl_ssl", &settings).await?;
    keeps(&log, canary)?;
    anyhow::ensure!(log.to_lowercase().contains("authentication"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_secret_in_a_setting_that_is_refused_is_not_told() -> anyhow::Result<()> {
    let canary = "canary-7Hw2-do-not-log";
    let wrong = format!("{PLAIN} required username=\"streams\" password=\"{canary}\" no-equals-sign;");
    let settings =
        [("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &*wrong)];
    let log = fails("sasl_plaintext", &settings).await?;
    if BrokerFile::get()?.is_some() {
        anyhow::ensure!(log.contains("sasl.jaas.config") && !log.contains(canary), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn a_broker_with_a_certificate_of_another_authority_is_refused() -> anyhow::Result<()> {
    let Some(file) = BrokerFile::get()? else { return Ok(()) };
    let other = file.pem("other_ca_pem")?;
    let jaas = jaas(SCRAM, "streams", &file.password("streams")?);
    let settings = [
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.jaas.config", &jaas),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", path(&other)?),
    ];
    let log = fails("sasl_ssl", &settings).await?;
    anyhow::ensure!(log.to_lowercase().contains("certificate"), "{log}");
    Ok(())
}
