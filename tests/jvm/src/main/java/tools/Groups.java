package tools;

import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * Shows and empties groups of the classic protocol.
 *
 * <p>{@code describe} prints {@code group NAME STATE}, a line {@code member ID CLIENT} for each member, and a line {@code offset TOPIC
 * PARTITION OFFSET METADATA} for each committed position ("-" for no metadata). {@code empty} removes all members, dead ones whose session
 * has not timed out yet among them, so that the next one need not wait for them; positions stay.
 */
public final class Groups {
    private static final String USAGE = "tools.Groups BOOTSTRAP describe|empty|delete GROUP";

    public static void main(String[] a) throws Exception {
        Client.require(a, 3, USAGE);
        Properties p = Client.properties(a[0]);
        try (Admin admin = Admin.create(p)) {
            switch (a[1]) {
                case "describe" -> describe(admin, a[2]);
                case "empty" -> {
                    if (!group(admin, a[2]).members().isEmpty()) {
                        admin.removeMembersFromConsumerGroup(a[2], new RemoveMembersFromConsumerGroupOptions()).all().get();
                    }
                }
                case "delete" -> admin.deleteConsumerGroups(List.of(a[2])).all().get();
                default -> Client.require(new String[0], 1, USAGE);
            }
        }
    }

    private static ConsumerGroupDescription group(Admin admin, String name) throws Exception {
        return admin.describeConsumerGroups(List.of(name)).all().get().get(name);
    }

    private static void describe(Admin admin, String name) throws Exception {
        ConsumerGroupDescription group = group(admin, name);
        System.out.printf("group %s %s%n", name, group.groupState());
        for (MemberDescription member : group.members()) {
            System.out.printf("member %s %s%n", member.consumerId(), member.clientId());
        }
        Map<String, OffsetAndMetadata> sorted = new TreeMap<>();
        for (Map.Entry<TopicPartition, OffsetAndMetadata> e :
                admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get().entrySet()) {
            sorted.put(e.getKey().topic() + " " + e.getKey().partition(), e.getValue());
        }
        sorted.forEach((partition, o) -> System.out.printf("offset %s %d %s%n", partition, o.offset(),
                o.metadata().isEmpty() ? "-" : o.metadata()));
    }
}
