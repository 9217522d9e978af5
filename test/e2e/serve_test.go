package e2e

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serve answers HTTP requests until the end of the test, and returns the URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// metricsAs returns how the metrics endpoint answers who has a token, and 0 if
// it does not.
func (o *operator) metricsAs(token string) int {
	o.Helper()
	request, err := http.NewRequestWithContext(o.Context(), http.MethodGet, o.metrics, http.NoBody)
	if err != nil {
		o.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	insecure := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // its certificate is its own
	defer insecure.CloseIdleConnections()
	response, err := insecure.RoundTrip(request)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}
