package peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Measures end-to-end latency of whatever program runs between two topics: writes to one at a fixed rate, reads the
 * other read-committed, and takes the time from a record's creation to its arrival (its timestamp passes through).
 *
 * <p>Arguments: bootstrap input output records-per-second warm-up-seconds seconds distinct-keys value-bytes. The program
 * under test is started first, with a record limit that it will not reach. Prints one line: rate, number of samples,
 * p50, p95, p99, p99.9 and maximum in milliseconds.
 *
 * <p>One of the three programs of the JVM side, kept as they were when the project's speed goals were set, so that figures stay comparable.
 */
public final class Latency {
    public static void main(String[] a) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", a[0]);
        String input = a[1], output = a[2];
        long rate = Long.parseLong(a[3]), warm = Long.parseLong(a[4]), seconds = Long.parseLong(a[5]);
        long keys = Long.parseLong(a[6]);
        int size = Integer.parseInt(a[7]);
        AtomicBoolean done = new AtomicBoolean();
        long measureFrom = System.currentTimeMillis() + warm * 1000;
        Thread writer = new Thread(() -> {
            p.put("linger.ms", "1");
            SplittableRandom random = new SplittableRandom(7);
            try (var producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
                long start = System.nanoTime(), n = rate * (warm + seconds);
                for (long i = 0; i < n; i++) {
                    long due = start + i * 1_000_000_000L / rate, wait = due - System.nanoTime();
                    if (wait > 0) LockSupport.parkNanos(wait);
                    long k = random.nextLong(keys);
                    byte[] v = new byte[size];
                    ByteBuffer.wrap(v).putLong(k);
                    producer.send(new ProducerRecord<>(input, null, System.currentTimeMillis(),
                            Long.toString(k).getBytes(StandardCharsets.UTF_8), v));
                }
            }
            LockSupport.parkNanos(3_000_000_000L);
            done.set(true);
        });
        int[] counts = new int[120_001];
        int samples = 0;
        Properties c = new Properties();
        c.put("bootstrap.servers", a[0]);
        c.put("isolation.level", "read_committed");
        c.put("fetch.max.wait.ms", "10");
        try (var consumer = new KafkaConsumer<>(c, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> parts = consumer.partitionsFor(output).stream()
                    .map(i -> new TopicPartition(output, i.partition())).toList();
            consumer.assign(parts);
            consumer.seekToEnd(parts);
            parts.forEach(consumer::position);
            writer.start();
            while (!done.get()) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(10))) {
                    if (r.timestamp() < measureFrom) continue;
                    counts[(int) Math.max(0, Math.min(120_000, System.currentTimeMillis() - r.timestamp()))]++;
                    samples++;
                }
            }
        }
        System.out.printf("rate=%d/s samples=%d p50=%d p95=%d p99=%d p99.9=%d max=%d ms%n", rate, samples,
                quantile(counts, samples, 0.5), quantile(counts, samples, 0.95), quantile(counts, samples, 0.99),
                quantile(counts, samples, 0.999), quantile(counts, samples, 1.0));
    }

    private static int quantile(int[] counts, int samples, double q) {
        long need = Math.max(1, (long) Math.ceil(q * samples)), seen = 0;
        for (int ms = 0; ms < counts.length; ms++) if ((seen += counts[ms]) >= need) return ms;
        return -1;
    }
}
