//! The program.

use kafka_streams::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = StreamsConfig::new("orders", "localhost:9092");
    KafkaStreams::new(app::topology()?, config)?.run_until(ctrl_c()).await?;
    Ok(())
}
