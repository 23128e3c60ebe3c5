package tools;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Prints every record of a topic up to its end, one a line: partition, offset, timestamp, key and value, between tabs; key and
 * value in hex, "-" for null. Reads committed records up to the last stable offset; with the third argument "uncommitted" all of them.
 */
public final class Dump {
    public static void main(String[] a) throws Exception {
        Client.require(a, 2, "tools.Dump BOOTSTRAP TOPIC [uncommitted]");
        Properties p = Client.properties(a[0]);
        p.put("isolation.level", a.length > 2 && a[2].equals("uncommitted") ? "read_uncommitted" : "read_committed");
        try (var consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
                PrintWriter out = new PrintWriter(System.out, false, StandardCharsets.UTF_8)) {
            List<TopicPartition> partitions = consumer.partitionsFor(a[1]).stream()
                    .map(info -> new TopicPartition(a[1], info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            // By position, not by the last record seen: a log may end in control records.
            while (partitions.stream().anyMatch(tp -> consumer.position(tp) < ends.get(tp))) {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                    out.printf("%d\t%d\t%d\t%s\t%s%n", r.partition(), r.offset(), r.timestamp(), hex(r.key()), hex(r.value()));
                }
            }
        }
    }

    private static String hex(byte[] bytes) {
        return bytes == null ? "-" : HexFormat.of().formatHex(bytes);
    }
}
