package tools;

import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Allows or denies a user of a broker with an authorizer something: resource types are TOPIC, GROUP, TRANSACTIONAL_ID, CLUSTER; a name
 * ending in "*" is a prefix; operations are Kafka's (READ, WRITE, CREATE, DESCRIBE, ALL, ...).
 */
public final class Acls {
    public static void main(String[] a) throws Exception {
        Client.require(a, 6, "tools.Acls BOOTSTRAP allow|deny|remove USER RESOURCE_TYPE NAME[*] OPERATION...");
        Properties p = Client.properties(a[0]);
        String name = a[4];
        boolean prefix = name.length() > 1 && name.endsWith("*");
        ResourcePattern resource = new ResourcePattern(ResourceType.fromString(a[3]),
                prefix ? name.substring(0, name.length() - 1) : name, prefix ? PatternType.PREFIXED : PatternType.LITERAL);
        try (Admin admin = Admin.create(p)) {
            for (String operation : List.of(a).subList(5, a.length)) {
                AclPermissionType permission = a[1].equals("deny") ? AclPermissionType.DENY : AclPermissionType.ALLOW;
                AclBinding binding = new AclBinding(resource,
                        new AccessControlEntry("User:" + a[2], "*", AclOperation.fromString(operation), permission));
                if (a[1].equals("remove")) {
                    admin.deleteAcls(List.of(binding.toFilter())).all().get();
                } else {
                    admin.createAcls(List.of(binding)).all().get();
                }
            }
        }
    }
}
