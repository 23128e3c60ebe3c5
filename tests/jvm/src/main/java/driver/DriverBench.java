package driver;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.WindowedSerdes;

/**
 * Throughput of TopologyTestDriver: DriverBench WORKLOAD RECORDS KEYS. A tenth of the records comes first, to warm up. Prints records per second.
 * The program beside it is crates/kafka-streams-testing/examples/driver_throughput.rs.
 */
public final class DriverBench {
    private static final Duration WINDOW = Duration.ofMinutes(1);

    private DriverBench() {}

    public static void main(String[] args) throws IOException {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "off");
        String workload = args[0];
        int records = Integer.parseInt(args[1]);
        int keys = Integer.parseInt(args[2]);
        Path dir = Files.createTempDirectory("driver-bench");
        Properties props = new Properties();
        props.put("application.id", "bench");
        props.put("bootstrap.servers", "unused:9092");
        props.put("state.dir", dir.toString());
        try (TopologyTestDriver driver = new TopologyTestDriver(topology(workload).build(), props)) {
            TestInputTopic<String, String> in = driver.createInputTopic("in", new StringSerializer(), new StringSerializer());
            TestOutputTopic<byte[], byte[]> out = driver.createOutputTopic("out", new ByteArrayDeserializer(), new ByteArrayDeserializer());
            pipe(in, out, records / 10, keys);
            long start = System.nanoTime();
            long read = pipe(in, out, records, keys);
            double seconds = (System.nanoTime() - start) / 1e9;
            System.out.printf("{\"workload\":\"%s\",\"records\":%d,\"read\":%d,\"seconds\":%.4f}%n", workload, records, read, seconds);
        }
        try (Stream<Path> files = Files.walk(dir)) {
            files.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        }
    }

    private static StreamsBuilder topology(String workload) {
        StreamsBuilder builder = new StreamsBuilder();
        KStream<String, String> in = builder.stream("in", Consumed.with(Serdes.String(), Serdes.String()));
        Produced<String, String> strings = Produced.with(Serdes.String(), Serdes.String());
        switch (workload) {
            case "pass-through": in.to("out", strings); break;
            case "map": in.filter((k, v) -> !v.isEmpty()).mapValues(v -> v + "!").to("out", strings); break;
            case "count":
                in.groupByKey(Grouped.with(Serdes.String(), Serdes.String())).count(Materialized.as("counts"))
                    .toStream().to("out", Produced.with(Serdes.String(), Serdes.Long()));
                break;
            case "window":
                in.groupByKey(Grouped.with(Serdes.String(), Serdes.String())).windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW))
                    .count(Materialized.as("counts"))
                    .toStream().to("out", Produced.with(new WindowedSerdes.TimeWindowedSerde<>(Serdes.String(), WINDOW.toMillis()), Serdes.Long()));
                break;
            default: throw new IllegalArgumentException(workload);
        }
        return builder;
    }

    /** A record at a time, and what came out is taken now and then, so that it does not fill the memory. */
    private static long pipe(TestInputTopic<String, String> in, TestOutputTopic<byte[], byte[]> out, int records, int keys) {
        long read = 0;
        for (int i = 0; i < records; i++) {
            in.pipeInput("key-" + i % keys, "value-" + i, 1_700_000_000_000L + i);
            if (i % 1000 == 999) read += drain(out);
        }
        return read + drain(out);
    }

    private static long drain(TestOutputTopic<byte[], byte[]> out) {
        long read = 0;
        while (!out.isEmpty()) {
            out.readRecord();
            read++;
        }
        return read;
    }
}
