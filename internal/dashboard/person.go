package dashboard

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/client"
)

// person is somebody with their own rights at the API server.
type person struct {
	*client.Client
	id     string // The same for the same token, and for nobody else.
	config *rest.Config
	name   string // What the API server calls them, once it was asked.
}

// person returns whoever has a token. It asks the API server nothing. It is
// cheap: connections are shared by all people (client-go keeps one transport
// for each way to reach a server, and adds the token to each request).
func (s *Server) person(token string) (*person, error) {
	config := configFor(s.base, token)
	c, err := client.New(config)
	if err != nil {
		return nil, err
	}
	return &person{Client: c, id: idOf(token), config: config}, nil
}

// handler answers a request of a person.
type handler func(w http.ResponseWriter, r *http.Request, p *person)

// as answers requests of those who have come in.
func (s *Server) as(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, ok := s.door.token(r)
		if !ok {
			s.door.closed(w, r, s)
			return
		}
		p, err := s.person(token)
		if err != nil {
			s.refuse(w, r, nil, explain(err, "reach the API server"))
			return
		}
		h(w, r, p)
	}
}

// whoAmI asks the API server what it calls the person, and so whether it
// knows them.
func (p *person) whoAmI(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := authenticationclient.NewForConfig(p.config)
	if err != nil {
		return err
	}
	review, err := c.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	p.name = nameOf(review.Status.UserInfo)
	return nil
}

// may asks the API server which of some verbs the person may do to a
// TorrentDownload. It is for showing what can't be done, and decides nothing.
func (p *person) may(ctx context.Context, namespace, name string, verbs ...string) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := authorizationclient.NewForConfig(p.config)
	if err != nil {
		return nil, err
	}
	allowed := make([]bool, len(verbs))
	group, ctx := errgroup.WithContext(ctx)
	for i, verb := range verbs {
		group.Go(func() error {
			review, err := c.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Group: v1alpha1.GroupVersion.Group, Resource: "torrentdownloads", Namespace: namespace, Name: name, Verb: verb,
				}},
			}, metav1.CreateOptions{})
			if err == nil {
				allowed[i] = review.Status.Allowed
			}
			return err
		})
	}
	err = group.Wait()
	out := map[string]bool{}
	for i, verb := range verbs {
		out[verb] = allowed[i]
	}
	return out, err
}

// unknown reports whether the API server does not know who somebody is.
func unknown(err error) bool { return apierrors.IsUnauthorized(err) }
