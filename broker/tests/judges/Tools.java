import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after the other in one JVM, because starting one for each takes seconds.
 *
 * A line in: base64 words with spaces between them: standard input, class, arguments. A line out: exit status and base64 of what was printed.
 */
public class Tools {
    private static final int RUNNING = -1;

    static final class Ended extends RuntimeException {}

    /** What a JVM does at its end, for a tool that only thinks it ends one. */
    private static void runAll(List<Runnable> hooks) {
        for (Runnable hook : hooks) {
            try {
                hook.run();
            } catch (RuntimeException broken) {
                System.out.println(broken);
            }
        }
        hooks.clear();
    }

    public static void main(String[] none) throws Exception {
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream answers = System.out;
        InputStream input = System.in;
        AtomicInteger status = new AtomicInteger();
        Exit.Procedure procedure = (code, message) -> {
            if (message != null) System.out.println(message);
            // Some tools catch what ends them and end once more: the first word counts.
            status.compareAndSet(RUNNING, code);
            throw new Ended();
        };
        Exit.setExitProcedure(procedure);
        Exit.setHaltProcedure(procedure);
        // Some tools flush, count and close only there.
        List<Runnable> atEnd = new CopyOnWriteArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> atEnd.add(hook));
        for (String line; (line = asked.readLine()) != null; ) {
            List<String> words = new ArrayList<>();
            for (String word : line.split(" ")) {
                words.add(new String(Base64.getDecoder().decode(word.substring(1)), StandardCharsets.UTF_8));
            }
            ByteArrayOutputStream printed = new ByteArrayOutputStream();
            PrintStream out = new PrintStream(printed, true, StandardCharsets.UTF_8);
            System.setOut(out);
            System.setErr(out);
            System.setIn(new ByteArrayInputStream(words.get(0).getBytes(StandardCharsets.UTF_8)));
            status.set(RUNNING);
            String[] arguments = words.subList(2, words.size()).toArray(new String[0]);
            // Scala's Console keeps the streams it saw first, unless it is told.
            try {
                Class<?> tool = Class.forName(words.get(1));
                scala.Console.withOut(out, () -> scala.Console.withErr(out, () -> {
                    try {
                        tool.getMethod("main", String[].class).invoke(null, (Object) arguments);
                    } catch (InvocationTargetException thrown) {
                        if (!(thrown.getCause() instanceof Ended)) {
                            status.compareAndSet(RUNNING, 1);
                            out.println(thrown.getCause());
                        }
                    } catch (ReflectiveOperationException broken) {
                        throw new IllegalStateException(broken);
                    }
                    runAll(atEnd);
                    return null;
                }));
            } catch (ClassNotFoundException absent) {
                status.set(127);
                out.println("there is no tool " + absent.getMessage());
            } finally {
                System.setIn(input);
                System.setOut(answers);
            }
            answers.println(Math.max(status.get(), 0) + " " + Base64.getEncoder().encodeToString(printed.toByteArray()));
            answers.flush();
        }
    }
}
