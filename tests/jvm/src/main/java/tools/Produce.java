package tools;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes the lines of a file (or of standard input, "-") to a topic, in UTF-8, and prints how many. Records have no key and go round
 * the partitions line by line; with a third argument, a separator, the text before its first occurrence is the key.
 */
public final class Produce {
    public static void main(String[] a) throws Exception {
        Client.require(a, 3, "tools.Produce BOOTSTRAP TOPIC FILE|- [KEY_SEPARATOR]");
        Properties p = Client.properties(a[0]);
        p.put("linger.ms", "5");
        p.put("enable.idempotence", "true");
        String separator = a.length > 3 ? a[3] : null;
        AtomicReference<Exception> failure = new AtomicReference<>();
        long lines = 0;
        try (BufferedReader in = a[2].equals("-")
                        ? new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))
                        : Files.newBufferedReader(Path.of(a[2]), StandardCharsets.UTF_8);
                KafkaProducer<String, String> producer =
                        new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            int partitions = producer.partitionsFor(a[1]).size();
            for (String line; (line = in.readLine()) != null && failure.get() == null; lines++) {
                int at = separator == null ? -1 : line.indexOf(separator);
                ProducerRecord<String, String> record = at < 0
                        ? new ProducerRecord<>(a[1], (int) (lines % partitions), null, line)
                        : new ProducerRecord<>(a[1], line.substring(0, at), line.substring(at + separator.length()));
                producer.send(record, (metadata, error) -> {
                    if (error != null) failure.compareAndSet(null, error);
                });
            }
        }
        if (failure.get() != null) throw failure.get();
        System.out.println("produced " + lines);
    }
}
