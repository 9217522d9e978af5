package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/internal/client"
)

// problem is what went wrong, in words for a person.
type problem struct {
	Status            int // Of HTTP.
	Title, Text, Hint string
}

// explain says what an error means to a person who wanted to do something:
// "pause this download".
func explain(err error, wanted string) *problem {
	p := &problem{Status: http.StatusBadGateway, Title: "That did not work", Text: sentence(client.Explain(err).Error())}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return p
	}
	s := status.Status()
	if s.Code >= 400 && s.Code < 500 {
		p.Status = int(s.Code)
	}
	switch s.Reason {
	case metav1.StatusReasonForbidden:
		p.Title = "You may not " + wanted
		p.Text = sentence(s.Message)
		p.Hint = "Whoever administers the cluster can give you the ClusterRole torrent-operator-viewer to look, or torrent-operator-editor to change, in a namespace or in all."
	case metav1.StatusReasonNotFound:
		p.Title = "It is not there"
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest:
		p.Title = "The API server refuses that"
	case metav1.StatusReasonUnauthorized:
		p.Title = "The API server does not know who you are"
	}
	return p
}

// sentence makes a sentence of an error's text.
func sentence(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	s = string(unicode.ToUpper(first)) + s[n:]
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, ")") {
		s += "."
	}
	return s
}

// refused is an input that can't be meant, told where it was made.
func refused(format string, args ...any) *problem {
	return &problem{Status: http.StatusUnprocessableEntity, Title: "That can't be right", Text: sentence(fmt.Sprintf(format, args...))}
}
