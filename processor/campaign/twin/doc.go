// Package twin says once more, slowly, what campaigns mean.
package twin
