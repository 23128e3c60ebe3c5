package peer;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The JVM side of the benchmarks: one workload over an already loaded topic, run until every record went through.
 *
 * <p>Arguments: bootstrap workload input output records guarantee(alos|eos) threads state-dir application-id.
 * Workloads: map (filter and mapValues), count (groupByKey, count), rekey-count (selectKey, groupByKey, count: one
 * repartition topic), window (one-minute tumbling count), join (stream-stream inner join of the topic with itself,
 * five-second window), table (stream-table join of the topic with itself as a table), restore (time to rebuild the
 * store of `count` from its changelog: run count first with the same application id, then this with an empty state
 * directory). Prints one line: workload guarantee records seconds rate cpu-seconds peak-RSS-MiB.
 *
 * <p>One of the three programs of the JVM side, kept as they were when the project's speed goals were set, so that figures stay comparable.
 */
public final class Bench {
    public static void main(String[] a) throws Exception {
        String bootstrap = a[0], workload = a[1], input = a[2], output = a[3];
        long records = Long.parseLong(a[4]);
        boolean eos = a[5].equals("eos");
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, a[8]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, a[7]);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, a[6]);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, eos ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.BytesSerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.BytesSerde.class);
        p.put("auto.offset.reset", "earliest");
        for (String extra : System.getProperty("config", "").split(",")) {
            if (!extra.isEmpty()) p.put(extra.split("=")[0], extra.split("=")[1]);
        }
        LongAdder seen = new LongAdder();
        AtomicLong first = new AtomicLong();
        StreamsBuilder b = new StreamsBuilder();
        KStream<Bytes, Bytes> source = b.stream(input);
        KStream<Bytes, Bytes> in = source.peek((k, v) -> {
            if (first.get() == 0) first.compareAndSet(0, System.nanoTime());
        });
        Produced<Bytes, Long> longs = Produced.with(Serdes.Bytes(), Serdes.Long());
        switch (workload) {
            case "map" -> in.filter((k, v) -> v.get()[7] != 13)
                    .mapValues(v -> { byte[] c = v.get().clone(); c[8] ^= 1; return Bytes.wrap(c); }).to(output);
            case "count", "restore" -> in.groupByKey().count(Materialized.as("counts")).toStream().to(output, longs);
            case "rekey-count" -> in.selectKey((k, v) -> Bytes.wrap(Arrays.copyOf(v.get(), 8)))
                    .groupByKey().count(Materialized.as("counts")).toStream().to(output, longs);
            case "window" -> in.groupByKey().windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofMinutes(1)))
                    .count(Materialized.as("counts")).toStream((w, c) -> w.key()).to(output, longs);
            case "join" -> in.join(source.mapValues(v -> v),
                    (l, r) -> l, JoinWindows.ofTimeDifferenceWithNoGrace(Duration.ofSeconds(5)),
                    StreamJoined.with(Serdes.Bytes(), Serdes.Bytes(), Serdes.Bytes()).withName("j").withStoreName("j"))
                    .to(output);
            case "table" -> in.join(b.table(input + "-table", Materialized.<Bytes, Bytes, KeyValueStore<Bytes, byte[]>>as("t")),
                    (l, r) -> r).to(output);
            default -> throw new IllegalArgumentException("unknown workload: " + workload);
        }
        source.foreach((k, v) -> seen.increment());
        KafkaStreams streams = new KafkaStreams(b.build(), p);
        LongAdder restored = new LongAdder();
        AtomicLong restoreStart = new AtomicLong(), restoreEnd = new AtomicLong();
        streams.setGlobalStateRestoreListener(new StateRestoreListener() {
            public void onRestoreStart(TopicPartition t, String s, long from, long to) {
                restoreStart.compareAndSet(0, System.nanoTime());
            }
            public void onBatchRestored(TopicPartition t, String s, long end, long n) { restored.add(n); }
            public void onRestoreEnd(TopicPartition t, String s, long n) { restoreEnd.set(System.nanoTime()); }
        });
        CountDownLatch running = new CountDownLatch(1);
        streams.setStateListener((now, before) -> { if (now == KafkaStreams.State.RUNNING) running.countDown(); });
        streams.start();
        double seconds;
        long amount;
        if (workload.equals("restore")) {
            running.await();
            amount = restored.sum();
            seconds = (restoreEnd.get() - restoreStart.get()) / 1e9;
            streams.close(Duration.ofSeconds(30));
        } else {
            while (seen.sum() < records) Thread.sleep(5);
            streams.close(Duration.ofSeconds(60));
            amount = records;
            seconds = (System.nanoTime() - first.get()) / 1e9;
        }
        double cpu = ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime() / 1e9;
        String rss = Files.readAllLines(Path.of("/proc/self/status")).stream().filter(l -> l.startsWith("VmHWM"))
                .findFirst().orElse("VmHWM: 0 kB").replaceAll("\\D+", "");
        System.out.printf("%s %s records=%d seconds=%.2f rate=%.0f/s cpu=%.2fs rss=%dMiB%n", workload, a[5], amount,
                seconds, amount / seconds, cpu, Long.parseLong(rss) / 1024);
    }
}
