// The whole way of an account through the generated Kotlin client and the session of docs/CLIENTS.md: see clients_test.sh.
// BASE_URL MAILS_FOLDER; prints "ok ..." or "FAIL ..." for each check. Access tokens must live two seconds.
package example

import gatehouse.client.infrastructure.ClientException
import java.io.File
import java.io.IOException
import java.util.concurrent.Callable
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import kotlin.system.exitProcess
import okhttp3.Interceptor
import okhttp3.OkHttpClient
import okhttp3.Protocol
import okhttp3.Response
import okhttp3.ResponseBody.Companion.toResponseBody

const val PASSWORD = "Vq4-harbor-Moss"
const val CHANGED = "Jk8-granite-Fern"
const val RESET = "Tb6-meadow-Slate"

fun check(label: String, good: Boolean, detail: Any? = "") = println(if (good) "ok kotlin: $label" else "FAIL kotlin: $label: $detail")

class MemoryStore : TokenStore {
    @Volatile var tokens: Tokens? = null
    val known: MutableSet<String> = java.util.concurrent.ConcurrentHashMap.newKeySet()
    val saves = AtomicInteger()
    override fun load() = tokens
    override fun save(tokens: Tokens?) {
        // A slow disk: whoever sends the token before it is there is found out.
        Thread.sleep(20)
        this.tokens = tokens
        if (tokens == null) return
        known.add("Bearer ${tokens.access}")
        saves.incrementAndGet()
    }
}

/** Sees every request of a session: tokens that were sent before they were stored; can fail refreshes. */
class Wire(private val store: MemoryStore) : Interceptor {
    val early = AtomicInteger()
    val refreshes = AtomicInteger()
    @Volatile var broken = false
    override fun intercept(chain: Interceptor.Chain): Response {
        val request = chain.request()
        request.header("Authorization")?.let { if (it !in store.known) early.incrementAndGet() }
        val answer = chain.proceed(request)
        if (!request.url.encodedPath.endsWith("/token/refresh/")) return answer
        refreshes.incrementAndGet()
        if (!broken) return answer
        answer.close()
        return answer.newBuilder().protocol(Protocol.HTTP_1_1).code(503).message("Unavailable").body("{}".toResponseBody()).build()
    }
}

/** The newest link of a kind in the mails to an address. */
fun link(mails: File, email: String, pattern: Regex): List<String> {
    repeat(200) {
        for (file in mails.listFiles { one -> one.name.endsWith(".eml") }.orEmpty().sortedByDescending { it.name }) {
            val text = file.readText().replace(Regex("=\r?\n"), "").replace("=3D", "=")
            val found = pattern.find(text)
            if ("To: $email" in text && found != null) return found.groupValues
        }
        Thread.sleep(50)
    }
    error("no mail to $email with $pattern")
}

fun status(operation: () -> Any?): Int = try {
    operation()
    200
} catch (error: ClientException) {
    error.statusCode
}

fun errors(operation: () -> Any?): Map<String, List<String>> = try {
    operation()
    emptyMap()
} catch (error: ClientException) {
    error.fieldErrors()
}

fun ended(operation: () -> Any?): Boolean = try {
    operation()
    false
} catch (_: SignInAgain) {
    true
}

fun expired(session: Session, store: MemoryStore): Boolean {
    val token = store.tokens!!.access
    repeat(100) {
        if (status { session.open.authTokenVerifyCreate(token = token) } == 401) return true
        Thread.sleep(100)
    }
    return false
}

fun journey(baseUrl: String, mails: File) {
    val name = "kotlin${System.currentTimeMillis()}"
    val email = "$name@mail.test"
    val store = MemoryStore()
    val wire = Wire(store)
    // A network interceptor also sees what the authenticator sends again.
    val session = Session(baseUrl, store, OkHttpClient.Builder().addNetworkInterceptor(wire).build())
    val open = session.open

    var wrong = errors { open.authRegistrationCreate(username = "two words", email = "nobody", password1 = "12", password2 = "12") }
    check("a wrong form is a 400 with the errors of each field", wrong.keys == setOf("username", "email", "password1") &&
        wrong["email"] == listOf("Enter a valid email address.") && wrong["password1"]!!.size >= 2, wrong)
    open.authRegistrationCreate(username = name, email = email, password1 = PASSWORD, password2 = PASSWORD)
    val key = link(mails, email, Regex("/account/verify-email/([\\w-]+)"))[1]
    val verified = open.authRegistrationVerifyEmailCreate(key = key)
    check("the key of the mail verifies the address", verified.detail == "ok", verified)
    check("a used key is a 404", status { open.authRegistrationVerifyEmailCreate(key = key) } == 404)

    val user = session.signIn(name, PASSWORD)
    check("signing in tells the user", user.username == name && user.email == email, user)
    val first = store.tokens!!
    check("a good token verifies", status { open.authTokenVerifyCreate(token = first.access) } == 200)
    check("a bad token is a 401", status { open.authTokenVerifyCreate(token = "rubbish") } == 401)

    fun change(old: String, new: String) = session.auth.authPasswordChangeCreate(oldPassword = old, newPassword1 = new, newPassword2 = new)

    check("the access token expires", expired(session, store))
    val saves = store.saves.get()
    val threads = Executors.newFixedThreadPool(8)
    val answers = threads.invokeAll(List(8) { Callable { session.user.authUserRetrieve().username } }).map { it.get() }
    threads.shutdown()
    check("eight calls at once with an expired token are all answered", answers.all { it == name }, answers)
    check("they share one refresh", store.saves.get() - saves == 1 && wire.refreshes.get() == 1, wire.refreshes)
    check("the new refresh token is stored", store.tokens?.refresh != first.refresh)
    check("a refresh whose answer was lost can be asked again", status { open.authTokenRefreshCreate(refresh = first.refresh) } == 200)

    check("the access token expires again", expired(session, store))
    val kept = store.tokens
    wire.broken = true
    val failed = runCatching { change(PASSWORD, CHANGED) }.exceptionOrNull()
    check("a refresh answered 503 is an error of that call", failed is IOException && failed !is SignInAgain, failed)
    check("and keeps the tokens", store.tokens == kept)
    wire.broken = false
    wrong = errors { change("Not-the-old-1", CHANGED) }
    check("a wrong old password is a 400 beside its field", wrong.keys == setOf("old_password"), wrong)
    check("the password changes", status { change(PASSWORD, CHANGED) } == 200)
    wrong = errors { session.signIn(name, PASSWORD) }
    check("the old password is refused", wrong == mapOf("non_field_errors" to listOf("Unable to log in with provided credentials.")), wrong)

    val last = store.tokens!!
    session.signOut()
    check("after signing out the refresh token is refused", status { open.authTokenRefreshCreate(refresh = last.refresh) } == 401)
    check("without tokens a call asks to sign in again", ended { change(CHANGED, CHANGED) })

    session.signIn(name, CHANGED)
    open.authPasswordResetCreate(email = email)
    val (_, uid, token) = link(mails, email, Regex("/account/password/reset/confirm/([\\w-]+)/([\\w-]+)"))
    fun confirm(one: String, two: String) =
        open.authPasswordResetConfirmCreate(newPassword1 = one, newPassword2 = two, uid = uid, token = token)
    wrong = errors { confirm(RESET, CHANGED) }
    check("a reset with two passwords is a 400 beside its field", wrong.keys == setOf("new_password2"), wrong)
    check("the link of the mail resets the password", status { confirm(RESET, RESET) } == 200)
    check("a session from before the reset asks to sign in again", ended { change(RESET, RESET) })
    check("and its tokens are dropped", store.tokens == null)
    check("the new password signs in", session.signIn(name, RESET).username == name)
    check("no access token was sent before it was stored", wire.early.get() == 0, wire.early)

    example(Session(baseUrl, MemoryStore()), "${name}b", "${name}b@mail.test", PASSWORD, CHANGED)
    check("the example runs", true)
}

fun main(arguments: Array<String>) {
    journey(arguments[0], File(arguments[1]))
    // OkHttp's idle threads would keep the process for a minute.
    exitProcess(0)
}
