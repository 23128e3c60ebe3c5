package tools;

import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/**
 * Creates, deletes, changes and describes topics.
 *
 * <p>{@code describe} prints a line {@code topic NAME ID PARTITIONS KEY=VALUE...} with the settings that the topic itself has, then for each
 * partition {@code partition NUMBER START END}: the log's first offset and its end, both read-uncommitted.
 */
public final class Topics {
    private static final String USAGE = """
            tools.Topics BOOTSTRAP COMMAND, COMMAND being one of
              list
              create TOPIC PARTITIONS [KEY=VALUE...]
              delete TOPIC[*]...                     with a star: all topics that begin so
              describe TOPIC...
              grow TOPIC PARTITIONS                  more partitions
              truncate TOPIC PARTITION OFFSET        delete the records below an offset; -1: all of them
              config TOPIC KEY=VALUE...              change settings""";

    public static void main(String[] a) throws Exception {
        Client.require(a, 2, USAGE);
        Properties p = Client.properties(a[0]);
        try (Admin admin = Admin.create(p)) {
            List<String> rest = List.of(a).subList(2, a.length);
            switch (a[1]) {
                case "list" -> new TreeSet<>(admin.listTopics().names().get()).forEach(System.out::println);
                case "create" -> {
                    Client.require(a, 4, USAGE);
                    NewTopic topic = new NewTopic(a[2], Integer.parseInt(a[3]), (short) 1);
                    admin.createTopics(List.of(topic.configs(pairs(rest.subList(2, rest.size()))))).all().get();
                }
                case "delete" -> {
                    Set<String> existing = admin.listTopics().names().get();
                    List<String> chosen = rest.stream().flatMap(name -> name.endsWith("*")
                            ? existing.stream().filter(t -> t.startsWith(name.substring(0, name.length() - 1)))
                            : Stream.of(name)).toList();
                    admin.deleteTopics(chosen).all().get();
                }
                case "describe" -> describe(admin, rest);
                case "grow" -> {
                    Client.require(a, 4, USAGE);
                    admin.createPartitions(Map.of(a[2], NewPartitions.increaseTo(Integer.parseInt(a[3])))).all().get();
                }
                case "truncate" -> {
                    Client.require(a, 5, USAGE);
                    admin.deleteRecords(Map.of(new TopicPartition(a[2], Integer.parseInt(a[3])),
                            RecordsToDelete.beforeOffset(Long.parseLong(a[4])))).all().get();
                }
                case "config" -> {
                    Client.require(a, 4, USAGE);
                    ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, a[2]);
                    Collection<AlterConfigOp> changes =
                            pairs(rest.subList(1, rest.size())).entrySet().stream()
                                    .map(e -> new AlterConfigOp(
                                            new ConfigEntry(e.getKey(), e.getValue()),
                                            AlterConfigOp.OpType.SET))
                                    .toList();
                    admin.incrementalAlterConfigs(Map.of(topic, changes)).all().get();
                }
                default -> Client.require(new String[0], 1, USAGE);
            }
        }
    }

    private static void describe(Admin admin, List<String> topics) throws Exception {
        Map<String, TopicDescription> described = new TreeMap<>(admin.describeTopics(topics).allTopicNames().get());
        for (TopicDescription topic : described.values()) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic.name());
            String settings = admin.describeConfigs(List.of(resource)).all().get().get(resource).entries().stream()
                    .filter(e -> e.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                    .map(e -> " " + e.name() + "=" + e.value()).sorted().collect(Collectors.joining());
            System.out.printf("topic %s %s %d%s%n", topic.name(), topic.topicId(), topic.partitions().size(), settings);
            Map<TopicPartition, OffsetSpec> first = new HashMap<>(), end = new HashMap<>();
            for (var partition : topic.partitions()) {
                TopicPartition tp = new TopicPartition(topic.name(), partition.partition());
                first.put(tp, OffsetSpec.earliest());
                end.put(tp, OffsetSpec.latest());
            }
            var starts = admin.listOffsets(first).all().get();
            var ends = admin.listOffsets(end).all().get();
            for (var partition : topic.partitions()) {
                TopicPartition tp = new TopicPartition(topic.name(), partition.partition());
                System.out.printf("partition %d %d %d%n", tp.partition(), starts.get(tp).offset(), ends.get(tp).offset());
            }
        }
    }

    private static Map<String, String> pairs(List<String> texts) {
        Map<String, String> pairs = new TreeMap<>();
        for (String text : texts) {
            int at = text.indexOf('=');
            if (at < 0) throw new IllegalArgumentException("not KEY=VALUE: " + text);
            pairs.put(text.substring(0, at), text.substring(at + 1));
        }
        return pairs;
    }
}
