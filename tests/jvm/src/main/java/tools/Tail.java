package tools;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Follows a topic of counts from its beginning, read-committed, and prints each record as it comes: word, tab, count; a deleted
 * one as "-". Runs until it is ended.
 */
public final class Tail {
    public static void main(String[] a) throws Exception {
        Client.require(a, 2, "tools.Tail BOOTSTRAP TOPIC");
        Properties p = Client.properties(a[0]);
        p.put("isolation.level", "read_committed");
        p.put("fetch.max.wait.ms", "50");
        try (var consumer = new KafkaConsumer<>(p, new StringDeserializer(), new LongDeserializer());
                PrintWriter out = new PrintWriter(System.out, false, StandardCharsets.UTF_8)) {
            List<TopicPartition> partitions = consumer.partitionsFor(a[1]).stream()
                    .map(info -> new TopicPartition(a[1], info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            // The reader gone, there is nobody to print for.
            while (!out.checkError()) {
                ConsumerRecords<String, Long> records = consumer.poll(Duration.ofMillis(100));
                for (ConsumerRecord<String, Long> r : records) {
                    out.println(r.key() + "\t" + (r.value() == null ? "-" : r.value()));
                }
            }
        }
    }
}
