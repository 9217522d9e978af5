package client

import (
	"errors"
	"fmt"
	"net"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
)

// explainedError is an error of the API server, with what a person can do instead
// of what a program would.
type explainedError struct {
	text string
	err  error
}

func (e *explainedError) Error() string { return e.text }
func (e *explainedError) Unwrap() error { return e.err }

// Explain makes an answer of the API server fit for a person, where that can
// be said better than it says it. Other errors stay as they are, and so does
// what errors.Is and errors.As find in them.
func Explain(err error) error {
	var status apierrors.APIStatus
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return &explainedError{fmt.Sprintf("the API server can't be reached: %v (check the cluster and context of your kubeconfig)", dial), err}
	case !errors.As(err, &status):
		return err
	}
	s := status.Status()
	ours := s.Details != nil && s.Details.Group == v1alpha1.GroupVersion.Group
	switch {
	case ours && s.Reason == metav1.StatusReasonNotFound && s.Details.Name == "",
		ours && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) && s.Reason == metav1.StatusReasonNotFound:
		return &explainedError{"this cluster knows no TorrentDownloads: torrent-operator is not installed in it", err}
	case ours && s.Reason == metav1.StatusReasonNotFound:
		return &explainedError{fmt.Sprintf("there is no TorrentDownload %q in this namespace", s.Details.Name), err}
	case ours && s.Reason == metav1.StatusReasonAlreadyExists:
		return &explainedError{fmt.Sprintf("there is a TorrentDownload %q already; choose another name", s.Details.Name), err}
	case ours && s.Reason == metav1.StatusReasonInvalid && len(s.Details.Causes) > 0:
		text := "the TorrentDownload is refused: "
		for i, c := range s.Details.Causes {
			if i > 0 {
				text += "; "
			}
			text += c.Field + ": " + c.Message
		}
		return &explainedError{text, err}
	case s.Reason == metav1.StatusReasonUnauthorized:
		return &explainedError{"the API server does not know who you are: log in again, or check the user of your kubeconfig", err}
	case s.Reason == metav1.StatusReasonForbidden:
		return &explainedError{"you may not do that: " + s.Message, err}
	}
	return err
}
