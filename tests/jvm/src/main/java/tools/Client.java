package tools;

import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** What every tool's client is configured with. */
final class Client {
    private Client() {}

    /**
     * The properties of a client of the broker at {@code bootstrap}. The system property {@code client.config} names a file of further
     * ones, such as the security settings for a listener with TLS or SASL.
     */
    static Properties properties(String bootstrap) throws IOException {
        Properties p = new Properties();
        String file = System.getProperty("client.config");
        if (file != null) {
            try (Reader reader = Files.newBufferedReader(Path.of(file), StandardCharsets.UTF_8)) {
                p.load(reader);
            }
        }
        p.put("bootstrap.servers", bootstrap);
        return p;
    }

    /** Ends the program with its usage when too few arguments were given. */
    static void require(String[] arguments, int atLeast, String usage) {
        if (arguments.length < atLeast) {
            System.err.println("usage: " + usage);
            System.exit(2);
        }
    }
}
