// Cheap to compile: the library and each of its dependencies are found, compiled and linked.
#include <asio/version.hpp>
#include <boost/hana/version.hpp>
#include <mirakuru/net/socket_path.hpp>

#if defined(__clang__) && !defined(ASIO_HAS_CO_AWAIT)
#error "mirakuru: the build defines ASIO_HAS_CO_AWAIT for users of Clang"
#endif
#if !defined(MIRAKURU_NO_HTTP)
#include <llhttp.h>
#endif
#if defined(WITH_TLS)
#include <openssl/ssl.h>
#endif

int main() {
  bool good = mirakuru::SocketPath{"@name"}.abstract();
#if !defined(MIRAKURU_NO_HTTP)
  good = good && llhttp_errno_name(HPE_OK) == std::string{"HPE_OK"};
#endif
#if defined(WITH_TLS)
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());        // libssl
  good = good && context != nullptr && OpenSSL_version_num() != 0;  // libcrypto
  SSL_CTX_free(context);
#endif
  return good ? 0 : 1;
}
