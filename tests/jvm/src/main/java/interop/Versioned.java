package interop;

import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * A versioned table that is asked, by each record of a stream, for the row of that record's time. Rust's suite has the same topology: either
 * restores the store from the changelog that the other wrote.
 *
 * <p>Prints READY when it runs. On SIGTERM it closes cleanly and leaves the group.
 */
public final class Versioned {
    public static void main(String[] a) throws Exception {
        if (a.length != 7) {
            System.err.println("usage: interop.Versioned BOOTSTRAP ROWS QUESTIONS ANSWERS APPLICATION_ID STATE_DIR HISTORY_MS");
            System.exit(2);
        }
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a[0]);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[4]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, a[5]);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put("auto.offset.reset", "earliest");

        Serde<String> text = Serdes.String();
        StreamsBuilder builder = new StreamsBuilder();
        KTable<String, String> rows = builder.table(a[1], Consumed.with(text, text),
                Materialized.as(Stores.persistentVersionedKeyValueStore("rows", Duration.ofMillis(Long.parseLong(a[6])))));
        builder.stream(a[2], Consumed.with(text, text))
                .leftJoin(rows, (question, row) -> question + " " + (row == null ? "none" : row), Joined.with(text, text, text, "join"))
                .to(a[3], Produced.with(text, text));

        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                System.out.println("READY");
                System.out.flush();
            }
            if (now == KafkaStreams.State.ERROR) ended.countDown();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.LEAVE_GROUP)
                    .withTimeout(Duration.ofSeconds(60)));
            ended.countDown();
        }));
        streams.start();
        ended.await();
        if (streams.state() == KafkaStreams.State.ERROR) System.exit(1);
    }
}
