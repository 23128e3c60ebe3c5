package peer;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.SplittableRandom;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Fills an input topic with deterministic records, so that every program measured reads the same bytes.
 *
 * <p>Arguments: bootstrap topic partitions records distinct-keys value-bytes. A key is the decimal text of a number
 * drawn uniformly below distinct-keys (seed 42); a value starts with that number as 8 big-endian bytes and is padded
 * with letters; record i has timestamp i milliseconds after 2026-01-01T00:00:00Z, so the topic keeps records for ever: a broker
 * with the default retention would delete them as too old.
 *
 * <p>One of the three programs of the JVM side, kept as they were when the project's speed goals were set, so that figures stay comparable.
 */
public final class Load {
    public static final long EPOCH = 1767225600000L;

    public static void main(String[] a) throws Exception {
        String bootstrap = a[0], topic = a[1];
        int partitions = Integer.parseInt(a[2]);
        long records = Long.parseLong(a[3]);
        long keys = Long.parseLong(a[4]);
        int size = Integer.parseInt(a[5]);
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(p)) {
            admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1)
                    .configs(Map.of("retention.ms", "-1")))).all().get();
        }
        p.put("linger.ms", "20");
        p.put("batch.size", "262144");
        p.put("acks", "1");
        SplittableRandom random = new SplittableRandom(42);
        byte[] padding = new byte[size];
        for (int i = 0; i < size; i++) padding[i] = (byte) ('a' + i % 26);
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long i = 0; i < records; i++) {
                long k = random.nextLong(keys);
                byte[] v = padding.clone();
                ByteBuffer.wrap(v).putLong(k);
                producer.send(new ProducerRecord<>(topic, null, EPOCH + i,
                        Long.toString(k).getBytes(StandardCharsets.UTF_8), v));
            }
        }
        System.out.println("loaded " + records + " records into " + topic);
    }
}
